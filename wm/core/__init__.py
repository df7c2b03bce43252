"""What every stage stands on: errors, parameters, random streams, files, episodes."""
