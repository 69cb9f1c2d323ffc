// Package crd evaluates what the API server evaluates of a CustomResourceDefinition, in-process: the defaults, the schema and the CEL
// rules. It has Istio's definitions of the kinds that are written. It is for tests. It stands apart from package translatetest because it
// takes along half an API server, which makes fuzzing crawl.
package crd

import (
	"context"
	_ "embed" // the CustomResourceDefinitions
	"fmt"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"sigs.k8s.io/yaml"
)

// The documents of kubernetes/customresourcedefinitions.gen.yaml in module istio.io/api; a test holds them equal to those of the version in
// go.mod.
var (
	//go:embed serviceentry.crd.yaml
	crdText []byte
	//go:embed workloadentry.crd.yaml
	workloadText []byte
	//go:embed destinationrule.crd.yaml
	ruleText []byte
	//go:embed envoyfilter.crd.yaml
	filterText []byte
)

// Definition is a compiled CustomResourceDefinition.
type Definition struct {
	structural *schema.Structural
	schema     validation.SchemaValidator
	rules      *cel.Validator
}

// New compiles Istio's definition of ServiceEntry, which takes a moment.
func New() (*Definition, error) { return Compile(crdText) }

// NewWorkload compiles Istio's definition of WorkloadEntry.
func NewWorkload() (*Definition, error) { return Compile(workloadText) }

// NewRule compiles Istio's definition of DestinationRule.
func NewRule() (*Definition, error) { return Compile(ruleText) }

// NewFilter compiles Istio's definition of EnvoyFilter.
func NewFilter() (*Definition, error) { return Compile(filterText) }

// Compile compiles the stored version of a definition.
func Compile(text []byte) (*Definition, error) {
	var definition apiextensionsv1.CustomResourceDefinition
	if err := yaml.UnmarshalStrict(text, &definition); err != nil {
		return nil, fmt.Errorf("read the CustomResourceDefinition: %w", err)
	}
	for i := range definition.Spec.Versions {
		if v := &definition.Spec.Versions[i]; v.Storage && v.Schema != nil {
			return newVersion(v.Schema.OpenAPIV3Schema)
		}
	}
	return nil, fmt.Errorf("the CustomResourceDefinition %q stores no version", definition.Name)
}

func newVersion(v1 *apiextensionsv1.JSONSchemaProps) (*Definition, error) {
	var props apiextensions.JSONSchemaProps
	if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(v1, &props, nil); err != nil {
		return nil, fmt.Errorf("convert the schema: %w", err)
	}
	structural, err := schema.NewStructural(&props)
	if err != nil {
		return nil, fmt.Errorf("read the schema as structural: %w", err)
	}
	validator, _, err := validation.NewSchemaValidator(&props)
	if err != nil {
		return nil, fmt.Errorf("compile the schema: %w", err)
	}
	return &Definition{structural, validator, cel.NewValidator(structural, true, celconfig.PerCallLimit)}, nil
}

// Default fills in the defaults of the schema.
func (d *Definition) Default(manifest map[string]any) { defaulting.Default(manifest, d.structural) }

// Check returns why the API server would refuse the manifest; nil when it would not.
func (d *Definition) Check(ctx context.Context, manifest map[string]any) error {
	return d.Validate(ctx, manifest, nil).ToAggregate()
}

// Validate returns why the API server would refuse a manifest in place of old, which is nil when there is none before it.
func (d *Definition) Validate(ctx context.Context, manifest, old map[string]any) field.ErrorList {
	errs := validation.ValidateCustomResource(nil, manifest, d.schema)
	errs = append(errs, listtype.ValidateListSetsAndMaps(nil, d.structural, manifest)...)
	if len(errs) > 0 {
		return errs // The rules assume that the types are right.
	}
	var before any
	if old != nil {
		before = old
	}
	errs, _ = d.rules.Validate(ctx, nil, d.structural, manifest, before, celconfig.RuntimeCELCostBudget)
	return errs
}
