"""Who is who: authority, certificates, revocation, the signed roster, confirmation by people."""
