"""What a sweep found is trained once more, with fresh seeds and on other text, before anything is claimed."""
