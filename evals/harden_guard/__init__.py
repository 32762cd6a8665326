"""The game of attacker and defender as a user runs it: labelled texts in, defenders and figures by round out."""
