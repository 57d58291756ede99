"""What a cell of the table may hold: functions of (name, example) that assert one promise each."""
