"""One long mixed history: events of every type, folded as ``plimsoll replay`` does it, and audited from end to end."""
