from drn.cli import main

main()
