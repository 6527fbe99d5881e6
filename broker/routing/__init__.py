"""From source records to deliveries and receipts: one lane at a time, one transaction per batch."""
