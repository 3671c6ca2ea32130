"The most memory that a process has taken so far, in kB, as an expression for its own code; `getrusage` counts the process that started it, too."
PEAK = "int(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))"
