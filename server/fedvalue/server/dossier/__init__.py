"""The papers that an ethics board and a data officer ask for, from a study and a hospital's policy."""
