// Package lab starts the real servers that the end-to-end suites run against. They come from Maven Central by their ordinary
// client, pinned to a version, and are prepared once into a cache folder outside the checkout.
package lab
