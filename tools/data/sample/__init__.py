"""The bundled sample: what is ours as files here, and prices read from the installed skfolio package."""
