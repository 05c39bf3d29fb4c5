"""What a hospital decides and keeps: policy, approvals, the privacy ledger, the audit log."""
