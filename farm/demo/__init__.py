"""The parts of ``farm demo``: a clip with a real face, and a contact sheet of frames before and after redaction."""
