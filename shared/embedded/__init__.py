"""`make up`: all of drybeans on this machine, started, watched and stopped together."""
