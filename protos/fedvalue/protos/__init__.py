"""Wire messages, one folder a version; generated from the .proto files beside them."""
