//! Results of an experiment as one HTML file that needs nothing else.
