"""
What samples and evidence come to: causes of stalls, and findings.

Pure: nothing here reads a file, a clock or a process. A detector is one file that registers itself.
"""
