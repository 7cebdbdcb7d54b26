"""What keeps a submission in: a child process, and around it whatever the kernel offers.

The files here except ``bubblewrap`` run in the child, before the submission does. They import the
standard library alone, and each other by relative imports, so that the child starts without the
package. A layer that this machine lacks is left out and not reported as in force; the list of
layers comes from the child that was started, not from what was hoped for.
"""
