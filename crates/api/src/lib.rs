//! HTTP: the Spot-compatible REST interface, its envelope and OpenAPI description.
