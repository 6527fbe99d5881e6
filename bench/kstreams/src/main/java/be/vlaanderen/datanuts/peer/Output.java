package be.vlaanderen.datanuts.peer;

/** What is written, and where: the one sink asks each value for its topic. */
record Output(String topic, byte[] value) {}
