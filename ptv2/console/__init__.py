"""What a person types and sees: arguments, messages, bars, tables that fit the screen, and errors in one line."""
