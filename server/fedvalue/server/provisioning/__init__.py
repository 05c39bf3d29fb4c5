"""What the coordinator makes before the first study: TLS material, enrolment tokens, node registrations."""
