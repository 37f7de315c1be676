"""The local file system: durable writes, reading hostile files, buffers."""
