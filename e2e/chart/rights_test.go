package chart_test

import (
	"fmt"
	"slices"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/registry-bridge/registry-bridge/e2e/audit"
)

// right is one verb on one resource.
type right struct {
	verb, group, resource string
	// namespace is "*" for all of them, name "*" for every name.
	namespace, name string
}

// String renders "patch registries.registry-bridge.io in * named *".
func (r right) String() string {
	return fmt.Sprintf("%s %s.%s in %s named %s", r.verb, r.resource, r.group, r.namespace, r.name)
}

// allows reports whether the right lets a request pass that asks for this verb.
func (r right) allows(request *audit.Request, verb string) bool {
	return r.verb == verb && r.group == request.Group && r.resource == request.Resource &&
		(r.namespace == "*" || r.namespace == request.Namespace) && (r.name == "*" || r.name == request.Name)
}

// rightsOf returns what the roles among the objects let a service account do.
func rightsOf(t *testing.T, objects []*unstructured.Unstructured, account string) []right {
	t.Helper()
	var rights []right
	for _, o := range objects {
		if o.GetKind() != "RoleBinding" && o.GetKind() != "ClusterRoleBinding" {
			continue
		}
		var binding rbacv1.RoleBinding // The other kind has the same fields.
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &binding); err != nil {
			t.Fatal(err)
		}
		if len(binding.Subjects) != 1 || binding.Subjects[0].Name != account {
			continue
		}
		at := slices.IndexFunc(objects, func(r *unstructured.Unstructured) bool {
			return r.GetKind() == binding.RoleRef.Kind && r.GetName() == binding.RoleRef.Name && r.GetNamespace() == binding.Namespace
		})
		if at < 0 {
			t.Fatalf("%s %s binds a role that is not there", o.GetKind(), o.GetName())
		}
		var role rbacv1.Role
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(objects[at].Object, &role); err != nil {
			t.Fatal(err)
		}
		for i := range role.Rules {
			rights = append(rights, expand(&role.Rules[i], binding.Namespace)...)
		}
	}
	return rights
}

// expand takes a rule apart.
func expand(rule *rbacv1.PolicyRule, namespace string) []right {
	if namespace == "" {
		namespace = "*"
	}
	names := rule.ResourceNames
	if len(names) == 0 {
		names = []string{"*"}
	}
	var rights []right
	for _, group := range rule.APIGroups {
		for _, resource := range rule.Resources {
			for _, name := range names {
				for _, verb := range rule.Verbs {
					rights = append(rights, right{verb: verb, group: group, resource: resource, namespace: namespace, name: name})
				}
			}
		}
	}
	return rights
}

// compareRights wants each right to be used by a request, and each request to be allowed.
func compareRights(t *testing.T, rights []right, requests []audit.Request) {
	t.Helper()
	used, refused := map[right]bool{}, map[string]bool{}
	for i := range requests {
		request := &requests[i]
		verbs := []string{request.Verb}
		if request.Verb == "patch" && request.Code == 201 {
			verbs = append(verbs, "create") // A server-side apply that creates needs both.
		}
		for _, verb := range verbs {
			allowed := false
			for _, r := range rights {
				if r.allows(request, verb) {
					used[r], allowed = true, true
				}
			}
			what := fmt.Sprintf("%s %s.%s in %s named %s", verb, request.Resource, request.Group, request.Namespace, request.Name)
			if (!allowed || request.Code == 403) && !refused[what] {
				refused[what] = true
				t.Errorf("the chart gives no right to %s", what)
			}
		}
	}
	for _, r := range rights {
		if !used[r] {
			t.Errorf("the chart gives a right that nobody uses: %s", r)
		}
	}
}
