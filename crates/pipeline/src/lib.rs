//! The stages of semi-supervised fine-tuning in their order, with a run folder that resumes.
