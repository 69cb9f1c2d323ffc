// Package http fetches a document that lists all services from a URL, again and again.
//
//	GET <url>                          the first time
//	GET <url>  If-None-Match: <etag>   every poll interval, when the last answer had an ETag; 304 is the whole answer then
//	           Prefer: wait=55         with long polling (RFC 7240, 4.3): the server may answer only when there is news
//
// Status 200 with a complete document of the right content type is believed, and 304 where it was asked for. Everything else ends the run,
// and what was read before stays: a page of a proxy, an answer that is cut off, an empty one, a redirect.
package http
