"""The dream as a page: one HTML file in which the models run."""
