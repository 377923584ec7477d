"""What other products export, record by record, in the words of the contract."""
