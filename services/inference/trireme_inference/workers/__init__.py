"""Model instances that are processes of their own: tensors through shared memory, control beside it."""
