"""Output for users: progress, listings, summaries, reports and maps."""
