"""What a run tells its user: progress, listings, summaries, reports and maps."""
