"""Everything that touches Apache Kafka's processes and client libraries: an embedded node, client factories, administration."""
