"""Who is who: the federation's authority, certificates, revocation, the signed roster, confirmation by people."""
