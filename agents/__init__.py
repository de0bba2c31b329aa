"""The only room that thinks: the flow, the roles, the reader, and the house rules."""
