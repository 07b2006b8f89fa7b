"""What travels: events, outputs, money, time and topics. Imports nothing else of Plimsoll."""
