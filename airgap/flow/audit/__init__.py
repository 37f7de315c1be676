"""The report for auditors: what moved, who vouched for it, and what proves it (format §38)."""
