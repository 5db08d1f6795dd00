"""Where fans are offered elsewhere than on a seller's site: ad libraries, panels, shops of apps."""
