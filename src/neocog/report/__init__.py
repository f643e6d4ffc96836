"""Pages and images about a run: report.html, plots, explanations, contact sheets."""
