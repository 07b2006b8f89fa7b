"""Mail and SMS, fed by the notifications the engine decides."""
