import signal

# A shell that runs the tests in the background ignores Ctrl-C for them, and so for the processes
# whose Ctrl-C is tested.
signal.signal(signal.SIGINT, signal.default_int_handler)
