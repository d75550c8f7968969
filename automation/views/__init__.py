"""The panel in which people review what machines propose."""
