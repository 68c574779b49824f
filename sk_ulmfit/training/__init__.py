"""How the networks are trained and applied: skorch nets, batches, losses."""
