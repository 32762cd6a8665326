"""The commands of the command line, each thin: parse, call, print, exit."""
