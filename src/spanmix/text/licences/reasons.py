"""What documents are dropped for by their licences; a file of its own, as reports need no more than this."""

NOT_PERMITTED, NOT_KNOWN, OPTED_OUT = "licence not permitted", "licence not known", "opted out"
OPT_OUT = "opt_out"
"""Kind of the audit file; a row for each entry of the list that fits a document."""
