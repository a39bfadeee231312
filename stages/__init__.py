"""The stages of the pipeline: a folder a chapter, a module a stage. Holds no code."""
