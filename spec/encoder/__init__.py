"""An independent encoder of the Zot file protocol, written from the text of the specification alone."""
