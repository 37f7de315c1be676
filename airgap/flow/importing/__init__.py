"""Import: admit, plan, stage, verify, commit (format §11). `airgap verify` is the same walk."""
