"""What judges an artifact: samples, comparison with the source model (`verify/`), timing beside other runtimes."""
