"""OCI images as files: layouts, archives, manifests, references. Nothing in a layer is unpacked."""
