"""What operators of several formats become: compositions of `tn` operations that frontends share."""
